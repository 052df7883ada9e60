"""Training: mmengine's Runner built from a job, with exact resume and mixed precision."""
