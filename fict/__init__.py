"""FICT: the Facial Image Concept Tree, face landmarks, and label maps drawn from both."""
