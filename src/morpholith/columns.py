"""Names of the columns that tables share. One row is one object; the index is `label`."""

LABEL = "label"
IMAGE = "image"
CONDITION = "condition"
Y, X = "y_um", "x_um"
AREA = "area_um2"
PERIMETER = "perimeter_um"
DIAMETER = "diameter_um"  # of the circle of equal area
CIRCULARITY = "circularity"  # 4 pi A / P^2
CIRCULARITY_OUTLINE = "circularity_outline"  # the same, roughness of the outline included
TEXTURE = "texture"  # share of wavelet energy in the fine bands, 0..1
ANISOTROPY = "anisotropy"  # 0 for isotropic texture, towards 1 for parallel needles
TOUCHES_EDGE = "touches_edge"  # cut by the frame
HIDDEN = "hidden_fraction"  # share of the particle that another one covers
SCORE = "score"  # segmentation's own confidence, 0..1
REJECTED = "rejected"  # why it is kept out of shape statistics; empty when it is not
HEIGHT_PX, WIDTH_PX = "bbox_height_px", "bbox_width_px"
SIZE = "size_um"  # diameter that enters the size distribution: completed where the particle is partly hidden
WEIGHT = "frame_weight"  # of the particle in the size distribution, 1/um2: corrects for the frame

# Volumes
Z = "z_um"
VOLUME = "volume_um3"
SURFACE = "surface_um2"
SPHERICITY = "sphericity"  # Wadell: surface of the sphere of equal volume over the surface
N_CONTACTS = "n_contacts"  # neighbours it touches
