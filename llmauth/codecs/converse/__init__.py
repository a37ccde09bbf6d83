"""The protocol of AWS Bedrock."""
