"""Pose a rigged character (posing.py), and change its rest pose to the T-pose (rest_pose.py)."""
