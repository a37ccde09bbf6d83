"""OpenAI Responses: golden requests and answers, and what reads them independently of the code under test."""
