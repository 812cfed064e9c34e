"""Statistics of ensembles of glasses: bootstrap over samples, exponents, tails, histograms."""
