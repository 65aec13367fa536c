"""The table of rules: what each operation of a rewritten network is over pieces of theta, one function an operation.

A rule is given the enclosures of its sources. It returns the enclosure of the operation's affine part, the `Step` that
backward passes go through, and the error radius that its relaxation adds, if any, which the forward pass then adds to
the enclosure. To add an operation, write one function and put it into the table.

Rounding. Centres are float64; slopes and radii may be float32 (the working precision, of roundoff u). For an affine map
with the bound gamma_n (|L| |x| + m) of `LinearMap`, and sizes at least ``|L| |x| + m`` for every x of the pieces:

- computing the centre loses at most gamma_n(2^-53) of the sizes;
- computing the slopes loses at most ``gamma_n(u) |L| sum_d |slopes_d|``: it joins the radius before |L| is applied;
- the radius is a sum without negative terms: widening it by gamma_n(u) of itself covers its own rounding;
- carrying coefficients A back loses at most gamma(u) of ``|A|`` times the sizes: it is charged to the step's radius;
- the network's own execution in float32, where the claim is about that, differs by gamma_n(2^-24) of the sizes at most:
  it is added to both radii.

`SPARE` units more cover the elementwise operations that follow: adding up a spread, multiplying by slopes.
"""
