"""A page on localhost where one turns the knobs of one feature and sees it live or die."""
