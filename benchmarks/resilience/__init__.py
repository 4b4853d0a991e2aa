"""Every verb against every fault: does a record stay whole, and is what the user reads one clear line?"""
