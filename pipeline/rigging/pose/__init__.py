"""Pose a rigged character, and turn its rest pose into the T-pose."""
