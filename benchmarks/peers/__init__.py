"""The peers that are measured, each in a process of its own (`worker`), and what they are measured on (`workloads`)."""
