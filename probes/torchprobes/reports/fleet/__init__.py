"""Many nodes looked at from one: started over a person's own launcher, heard on one pipe or many, kept as reports."""
