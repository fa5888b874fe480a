"""What makes data sets: from a folder of videos, motion capture, stored skeletons, other programs, or nothing (Marionette)."""
