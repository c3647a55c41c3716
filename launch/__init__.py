"""The function as a process on this machine: free ports, servers and their logs, and what Cloud Run would charge."""
