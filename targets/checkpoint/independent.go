package checkpoint

// independent is uncoordinated checkpointing: every worker takes checkpoints
// when it likes, and where all have to go after a failure is found out then
// (Elnozahy et al. 2002, section 3.1). Nothing keeps checkpoints from being
// useless, and one failure may take everybody back as far as to the beginning:
// the domino effect (Randell, IEEE TSE 1(2), 1975).
type independent struct{ *soloist }
