"""EC2 Image Builder on this machine, over moto."""
