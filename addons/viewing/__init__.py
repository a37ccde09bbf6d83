"""What a page may show of the requests that pass: masked copies, our decisions beside them, and the page itself."""
