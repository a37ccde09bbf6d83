"""OpenAI's Responses, spoken by clients: a request is read, and an answer written, whole or as a stream of events."""
