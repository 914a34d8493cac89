"""What quickstart.py is made of; plain standard-library Python. The pack itself never imports it."""
