"""Claims that a caption makes about limbs, and whether the motion bears them out."""
