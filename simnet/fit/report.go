package fit

import (
	"fmt"
	"io"
	"strings"

	"github.com/ursa-virtual/ursa/simnet/world"
)

// Text writes the report for people, the worst first.
func (r *Report) Text(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %d nodes (%d dropped), %d pairs to fit, %d held out, split by %s, seed %d\n", r.Data, r.Nodes, len(r.Dropped), r.Train, r.Test, r.Split, r.Seed)
	fmt.Fprintf(&b, "\nKolmogorov-Smirnov, worst bin and mean over pairs:\n")
	for _, l := range r.Laws {
		fmt.Fprintf(&b, "  %-16s %.3f  %.3f\n", l.Law, l.WorstKS, l.MeanKS)
	}
	if r.Laws[0].MeanKS < r.Final().MeanKS {
		fmt.Fprintf(&b, "the %s law is nearer than the fit: this set is too small to fit a world to it\n", r.Laws[0].Law)
	}
	fmt.Fprintf(&b, "\nshare of the variance: hosts %.0f %%, countries %.0f %%\n", 100*r.Node, 100*r.Lane)
	last := r.Final()
	fmt.Fprintf(&b, "\n%-13s %6s %7s %7s %7s %7s %7s   %-22s %-22s\n", "km", "pairs", "before", "law", "table", "chance", "halves", "measured p5/50/95 ms", "table p5/50/95 ms")
	for _, bin := range last.WorstFirst() {
		fmt.Fprintf(&b, "%5.0f-%-7.0f %6d %7.3f %7.3f %7.3f %7.3f %7.3f   %-22s %-22s\n", bin.FromKM, bin.ToKM, bin.Pairs,
			r.Laws[0].same(bin).KS, r.Laws[1].same(bin).KS, bin.KS, bin.Limit, bin.Halves, three(bin.Measured), three(bin.Simulated))
	}
	fmt.Fprintf(&b, "chance: 95 of 100 samples of that size stay below; halves: between the two measured halves\n")
	fmt.Fprintf(&b, "\nround trip over light in fibre, from 300 km on:\n")
	compared(&b, last.Stretch)
	spreadText(&b, "difference of the directions, ms", r.Both)
	spreadText(&b, "average over minimum, ms", r.Waiting)
	for _, e := range r.Others {
		fmt.Fprintf(&b, "\n%s, of which the fit has seen nothing, %d pairs; KS worst bin and mean:\n", e.Data, e.Pairs)
		for _, l := range e.Laws {
			worst := l.WorstFirst()[0]
			fmt.Fprintf(&b, "  %-16s %.3f (%.0f-%.0f km)  %.3f\n", l.Law, l.WorstKS, worst.FromKM, worst.ToKM, l.MeanKS)
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// same finds the bin of another law.
func (l Likeness) same(b Bin) Bin {
	for _, x := range l.Bins {
		if x.FromKM == b.FromKM {
			return x
		}
	}
	return Bin{}
}

func three(x [3]float64) string { return fmt.Sprintf("%.1f / %.1f / %.1f", x[0], x[1], x[2]) }

func compared(b *strings.Builder, list []Compare) {
	for _, row := range []struct {
		name string
		of   func(Compare) float64
		form string
	}{{"", func(c Compare) float64 { return 100 * c.P }, "  p%-7.0f"}, {"measured", func(c Compare) float64 { return c.Measured }, "  %-8.3g"}, {"simulated", func(c Compare) float64 { return c.Simulated }, "  %-8.3g"}} {
		fmt.Fprintf(b, "  %-10s", row.name)
		for _, c := range list {
			fmt.Fprintf(b, row.form, row.of(c))
		}
		b.WriteByte('\n')
	}
}

func spreadText(b *strings.Builder, what string, s *Spread) {
	if s == nil {
		fmt.Fprintf(b, "\n%s: not in this set\n", what)
		return
	}
	fmt.Fprintf(b, "\n%s: KS %.3f over %d pairs (chance %.3f)\n", what, s.KS, s.Pairs, s.Limit)
	compared(b, s.Quantiles)
}

// Text writes the report for people.
func (r *SeriesReport) Text(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %d weeks of traces to fit, %d held out, seed %d; loss %.3f %%, fitted %.3f %%\n", r.Data, r.Train, r.Test, r.Seed, 100*r.Loss.Measured, 100*r.Loss.Simulated)
	fmt.Fprintf(&b, "\nexcess of the least of k packets over the week's least, ms (over weeks, p50 and p90)\n")
	fmt.Fprintf(&b, "%5s  %-16s %-16s %6s   %-16s %6s\n", "k", "measured", "fitted", "KS", "built-in wired", "KS")
	for i, c := range r.Curve {
		fmt.Fprintf(&b, "%5d  %-16s %-16s %6.3f   %-16s %6.3f\n", c.K, two(c.Measured), two(c.Simulated), c.KS, two(r.BuiltIn[i].Simulated), r.BuiltIn[i].KS)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func two(x [2]float64) string { return fmt.Sprintf("%.2f / %.2f", x[0], x[1]) }

// Cities returns the fitted world with the built-in cities in place of the set's nodes.
func Cities(f world.File) world.File {
	f.Places = world.PlacesSpec{Builtin: new(true), Access: f.Places.Access}
	return f
}
