"""The processes that train: started, fed with jobs, replaced when they die."""
