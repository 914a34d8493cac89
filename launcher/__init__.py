"""The parts of quickstart.py. Standard library only; the pack itself never imports this package."""
