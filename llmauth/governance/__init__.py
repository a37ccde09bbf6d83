"""What a caller may do and how much of it: policies, prices, and limits that hold across processes."""
