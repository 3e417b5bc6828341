"""What `facext annotate` survives: kills, full disks, jumping clocks, damaged videos."""
