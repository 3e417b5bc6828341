"""What `facext annotate` survives: kills, interrupts, full disks, jumping clocks, damaged videos."""
