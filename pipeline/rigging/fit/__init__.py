"""Find the joints of a character in the solid that its mesh encloses."""
