"""Measurements that anyone can repeat; each prints ratios of things run beside each other."""
