"""IBM watsonx.ai's protocol."""
