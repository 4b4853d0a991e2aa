"""Named experiments of the toy layer: every public function of the modules here returns the specs of one."""
