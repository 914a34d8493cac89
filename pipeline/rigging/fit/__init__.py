"""Fit the joints of a character to the voxels of its mesh.

torso.py finds the landmarks on the body's axis, hands.py the fingertips, arms.py and legs.py the joints of
the limbs along the centerlines of limbs.py. hand_solid.py, branches.py and fingers.py do the same for
fingers on finer voxels; thin_sheets.py removes capes first. fit_skeleton.py puts the parts together.
"""
