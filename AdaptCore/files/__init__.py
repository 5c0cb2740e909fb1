"""File formats of images: what each says of its voxels, and where these lie in the patient."""
