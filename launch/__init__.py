"""Runs the function and other servers as processes on this machine, and knows what Cloud Run charges for them."""
