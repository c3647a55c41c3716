"""Measurements that anyone can repeat: this function against what a user would pick instead, and its own past."""
