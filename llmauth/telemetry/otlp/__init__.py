"""What is told to a collector of OpenTelemetry: the measures of generative AI, and a span a request, over OTLP."""
