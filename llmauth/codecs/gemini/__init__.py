"""Google's protocol, spoken by Vertex AI."""
