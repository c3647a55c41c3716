"""Measurements that anyone can repeat: this function beside what a user would pick instead, and beside its own past."""
