"""The commands of every suite, one module each; `click.pass_obj` or `options.experiment_options` give them their suite."""
