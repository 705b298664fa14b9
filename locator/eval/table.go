package eval

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
)

// WriteTable prints the report for people.
func (r *Report) WriteTable(w io.Writer) error {
	b := &strings.Builder{}
	fmt.Fprintf(b, "%s: %d targets, %d beacons each", r.Data, r.Targets, r.Beacons)
	if r.ApartKM > 0 {
		fmt.Fprintf(b, ", none within %.0f km of the target", r.ApartKM)
	}
	fmt.Fprintf(b, "; dropped as convicted: %s; pairs refused: %d; seed %d, %d folds\n\n", list(r.Dropped), r.Refused, r.Seed, r.Folds)
	r.writeMethods(b)
	b.WriteString("\n")
	r.writeProof(b)
	fmt.Fprintf(b, "\nursa, first fold: %s", strings.ReplaceAll(r.Learnt, "\n", "\n  "))
	_, err := io.WriteString(w, strings.TrimRight(b.String(), " \n")+"\n")
	return err
}

func list(ids []string) string {
	if len(ids) == 0 {
		return "nobody"
	}
	return strings.Join(ids, " ")
}

func (r *Report) writeMethods(b *strings.Builder) {
	t := tabwriter.NewWriter(b, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "method\tp25 km\tmedian\tp75\tp90\tmean\twithin 50 km\tcountry\tlog score\tin 50 %\tin 90 %\tin 95 %\tarea 90 % km²\tin region\tregion km²\tempty\tms\t")
	for _, name := range Names {
		m := r.Methods[name]
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%d\t%s\t\n", name, whole(m.P25KM), whole(m.MedianKM), whole(m.P75KM),
			whole(m.P90KM), whole(m.MeanKM), percent(m.Within50KM), percent(m.CountryAccuracy), decimals(m.CountryLogScore, 2), percent(m.Coverage50), percent(m.Coverage90),
			percent(m.Coverage95), whole(m.Area90MedianKM2), percent(m.RegionCoverage), whole(m.RegionAreaMedianKM2), *m.Empty, decimals(m.MSPerTarget, 1))
	}
	t.Flush()
}

func (r *Report) writeProof(b *strings.Builder) {
	t := tabwriter.NewWriter(b, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "proof, f = 0\tin the country\tin the EU\twrong inside\twrong outside\tinconsistent\tregion km²\t")
	for _, class := range []string{"vacuum", "fibre"} {
		p := r.Proof[class]
		fmt.Fprintf(t, "%s\t%s\t%s\t%d\t%d\t%d\t%s\t\n", class, percent(p.ProvenCountry), percent(p.ProvenEU27), p.WrongInside, p.WrongOutside, p.Inconsistent, whole(p.RegionMedianKM2))
	}
	t.Flush()
	for _, class := range []string{"vacuum", "fibre"} {
		if wrong := r.Proof[class].Wrong; len(wrong) > 0 {
			fmt.Fprintf(b, "wrong at %s: %s\n", class, list(wrong))
		}
	}
}

func whole(v *float64) string {
	if v == nil {
		return "-"
	}
	return fmt.Sprintf("%.0f", *v)
}

func percent(v *float64) string {
	if v == nil {
		return "-"
	}
	return fmt.Sprintf("%.1f %%", *v*100)
}

func decimals(v *float64, n int) string {
	if v == nil {
		return "-"
	}
	return fmt.Sprintf("%.*f", n, *v)
}
