package main

import (
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/golang/geo/s2"
	"github.com/spf13/cobra"

	"github.com/ursa-virtual/ursa/calib/audit"
	"github.com/ursa-virtual/ursa/calib/chart"
	"github.com/ursa-virtual/ursa/calib/dataset"
	"github.com/ursa-virtual/ursa/calib/drift"
	"github.com/ursa-virtual/ursa/topology/atlas"
	"github.com/ursa-virtual/ursa/topology/earth"
)

func calibCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "calib",
		Short: "Beacons measure beacons: delay models, liars, and what changed",
		Long: "Calibration keeps the constellation honest. Nothing that it finds can tighten a proof: it takes\n" +
			"beacons out of use, or makes their uncertainty larger.",
		Example: "  ursa calib run --dir calib\n  ursa calib audit --data calib/measured\n  ursa calib fit --data calib/measured\n" +
			"  ursa calib report --data calib/measured --out report\n  ursa calib watch --series calib/series.csv",
	}
	cmd.AddCommand(calibRunCommand(), calibFitCommand(), calibAuditCommand(), calibWatchCommand(), calibReportCommand(),
		calibQuarantineCommand(), calibBenchCommand())
	return cmd
}

type calibAuditFlags struct {
	data, since, speed, plot string
	f                        int
	claimKM                  float64
	json                     bool
}

func calibAuditCommand() *cobra.Command {
	var o calibAuditFlags
	cmd := &cobra.Command{
		Use:   "audit --data DIR",
		Short: "Find the nodes that do not stand where they claim to stand",
		Long: "Two nodes that are closer in time than light allows between their claimed places cannot both be right.\n" +
			"A node is convicted when every small enough set of liars that explains the data contains it; by default also\n" +
			"only if round trips with third parties find it elsewhere. Others that the data speaks against are suspected.\n\n" +
			"DIR holds nodes.csv (id,name,country_iso2,lat,lon,source) and rtt.csv or rtt.csv.gz\n" +
			"(src_id,dst_id,min_ms,median_ms,samples).",
		Example: "  ursa calib audit --data ../shared/data/wonderproxy-2020\n" +
			"  ursa calib audit --data measured --f 12 --json\n" +
			"  ursa calib audit --data measured --plot conflicts.svg",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return o.run(cmd) },
	}
	flags := cmd.Flags()
	flags.StringVar(&o.data, "data", "", "folder of the measured set")
	flags.IntVar(&o.f, "f", -1, "at most this many nodes lie; a conviction is then a theorem (default: the fewest that explain the data)")
	flags.StringVar(&o.speed, "speed", "fibre", "fastest signal on any path, vacuum or fibre: a conviction is sound under it")
	flags.Float64Var(&o.claimKM, "claim-unc", 25, "how far an honest node may stand from its claimed coordinates, in km")
	flags.StringVar(&o.since, "since", "", "folder of an earlier measurement of the same nodes: who has moved?")
	flags.BoolVar(&o.json, "json", false, "print one JSON object")
	flags.StringVar(&o.plot, "plot", "", "draw a map of the contradictions into this `FILE`, .svg or .png")
	return cmd
}

func (o *calibAuditFlags) run(cmd *cobra.Command) error {
	options, err := o.options(cmd)
	if err != nil {
		return err
	}
	set, err := calibLoad("--data", o.data)
	if err != nil {
		return err
	}
	if set.Len() > 400 { // some seconds
		fmt.Fprintf(cmd.ErrOrStderr(), "auditing %d nodes\n", set.Len())
	}
	report, err := audit.Run(set, options)
	if err != nil {
		if errors.Is(err, audit.ErrMaxLiars) || errors.Is(err, audit.ErrClaimUnc) {
			return usagef("%w", err)
		}
		return err
	}
	var moved []audit.Move
	if o.since != "" {
		before, err := calibLoad("--since", o.since)
		if err != nil {
			return err
		}
		if moved, err = audit.Moved(before, set, options); err != nil {
			return err
		}
	}
	if o.plot != "" {
		if err := calibPlot(o.plot, set, report); err != nil {
			return err
		}
	}
	if o.json {
		return calibAuditJSON(cmd.OutOrStdout(), report, o.since != "", moved)
	}
	if err := calibAuditTable(cmd.OutOrStdout(), report); err != nil || o.since == "" {
		return err
	}
	return calibMovedTable(cmd.OutOrStdout(), moved)
}

func calibLoad(flag, dir string) (*dataset.Set, error) {
	set, err := dataset.Load(dir)
	if errors.Is(err, dataset.ErrMissing) {
		return nil, usagef("%s: %w", flag, err)
	}
	return set, err
}

// calibAuditJSON prints the report, with the moves as one more field when there was something to compare with.
func calibAuditJSON(out io.Writer, r audit.Report, compared bool, moved []audit.Move) error {
	text, err := json.Marshal(r)
	if err != nil {
		return err
	}
	if compared {
		if moved == nil {
			moved = []audit.Move{}
		}
		more, err := json.Marshal(moved)
		if err != nil {
			return err
		}
		text = append(append(append(text[:len(text)-1], `,"moved":`...), more...), '}')
	}
	_, err = fmt.Fprintf(out, "%s\n", text)
	return err
}

func calibMovedTable(out io.Writer, moved []audit.Move) error {
	if len(moved) == 0 {
		_, err := fmt.Fprintf(out, "\nMoved since then: nobody\n")
		return err
	}
	fmt.Fprintf(out, "\nMoved since then: %d\n", len(moved))
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "  id\tname\tchanged\tmedian change\tnow near\tclaim moved\tfalse alarm")
	for _, m := range moved {
		fmt.Fprintf(t, "  %s\t%s\t%d of %d peers\t%.1f ms\t%s %s\t%.0f km\t%.2g\n", m.ID, m.Name, m.Changed, m.Peers, m.ShiftMS, m.Likely, m.Near, m.ClaimMovedKM, m.FalseAlarmRate)
	}
	return t.Flush()
}

func (o *calibAuditFlags) options(cmd *cobra.Command) (audit.Options, error) {
	if o.data == "" {
		return audit.Options{}, usagef("no data: say --data DIR, a folder with nodes.csv and rtt.csv")
	}
	class, err := earth.ParseSpeedClass(o.speed)
	if err != nil {
		return audit.Options{}, usagef("--speed: %w", err)
	}
	if !(o.claimKM > 0) {
		return audit.Options{}, usagef("--claim-unc %v: say a distance in km above 0", o.claimKM)
	}
	options := audit.Options{Class: class, ClaimUnc: earth.Metres(o.claimKM * 1000), Countries: calibCountries}
	if cmd.Flags().Changed("f") {
		options.MaxLiars = &o.f
	}
	return options, nil
}

// calibCountries names the countries within a distance of a place.
func calibCountries(at earth.LatLon, within earth.Metres) []string {
	return atlas.CountriesWithin(within, s2.CellIDFromLatLng(s2.LatLngFromDegrees(at.Lat, at.Lon)))
}

func calibPlot(path string, set *dataset.Set, r audit.Report) error {
	format, err := chart.FormatOf(path)
	if err != nil {
		return usagef("--plot: %w", err)
	}
	file, err := os.Create(path)
	if err != nil {
		return usagef("--plot: %w", err)
	}
	if err := chart.Map(file, format, set, r); err != nil {
		file.Close()
		return fmt.Errorf("--plot: %w", err)
	}
	return file.Close()
}

// calibAuditTable tells people what was found and under which assumptions.
func calibAuditTable(out io.Writer, r audit.Report) error {
	w := &strings.Builder{}
	fmt.Fprintf(w, "%s: %d nodes, %d pairs, %d contradict each other at %s speed by more than the claims' uncertainty (2 x %.0f km).\n",
		r.Data, r.Nodes, r.Pairs, r.Conflicts, r.Speed, r.ClaimUncKM)
	calibPremise(w, r)
	calibAccused(w, "Convicted", r.Convicted)
	calibAccused(w, "Suspected", r.Suspected)
	if len(r.Labels) > 0 {
		fmt.Fprintf(w, "\nLabels that name another country than the coordinates\n")
		for _, l := range r.Labels {
			fmt.Fprintf(w, "  %s (%s) is labelled %s, its coordinates lie in %s", l.ID, l.Name, l.Label, strings.Join(l.At, "/"))
			if l.SwappedWith != "" {
				fmt.Fprintf(w, "; swapped with %s?", l.SwappedWith)
			}
			fmt.Fprintln(w)
		}
	}
	if len(r.Refused) > 0 {
		fmt.Fprintf(w, "\nPairs that no proof may use: %d of unconvicted nodes still contradict\n", len(r.Refused))
		for _, p := range r.Refused[:min(len(r.Refused), 20)] {
			fmt.Fprintf(w, "  %s - %s: %.3f ms, %.0f km too far even at %s speed; %s\n", calibShort(p.A), calibShort(p.B), p.RTTMS, p.ExcessKM, p.Class, p.Reason)
		}
	}
	_, err := io.WriteString(out, w.String())
	return err
}

// calibPremise says under which number of liars the report holds.
func calibPremise(w io.Writer, r audit.Report) {
	cover := fmt.Sprintf("%d", r.CoverAtMost)
	if r.CoverAtLeast != r.CoverAtMost {
		cover = fmt.Sprintf("%d to %d", r.CoverAtLeast, r.CoverAtMost)
	}
	switch {
	case r.Refuted:
		fmt.Fprintf(w, "The data refutes f = %d: at least %s nodes lie. Nobody is convicted under a premise that is false.\n", r.MaxLiars, cover)
	case r.Given:
		fmt.Fprintf(w, "Premise: at most %d nodes lie. The fewest that explain the data: %s.\n", r.MaxLiars, cover)
	case r.Framed:
		fmt.Fprintf(w, "The smallest explanation (%s liars) looks arranged; so up to %d are reckoned with.\n", cover, r.MaxLiars)
	case r.Conflicts > 0:
		fmt.Fprintf(w, "The fewest liars that explain the data: %s.\n", cover)
	}
}

func calibAccused(w io.Writer, title string, list []audit.Accused) {
	if len(list) == 0 {
		fmt.Fprintf(w, "\n%s: nobody\n", title)
		return
	}
	fmt.Fprintf(w, "\n%s: %d\n", title, len(list))
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "  id\tname\tclaims\tlikely\toff by\tfalse alarm\tagainst it\tstrongest evidence")
	for _, a := range list {
		likely, offBy := "unknown", "-"
		if a.Near != "" {
			likely, offBy = strings.TrimSpace(a.Likely+" near "+calibShort(a.Near)), fmt.Sprintf("%.0f km", a.OffByKM)
		}
		fmt.Fprintf(t, "  %s\t%s\t%s\t%s\t%s\t%.2g\t%d peers\t%s\n", calibShort(a.ID), a.Name, a.Claims, likely, offBy, a.FalseAlarmRate, a.Contradictions, calibEvidence(a))
	}
	t.Flush()
	for _, a := range list {
		fmt.Fprintf(w, "  %s: %s; %s; pos_unc of %.0f km would cover it\n", calibShort(a.ID), a.Kind, a.Grounds, a.PosUncKM)
	}
}

// calibShort shortens the ids of beacons, which are 64 hex digits; the JSON has them whole.
func calibShort(id string) string {
	if len(id) < 32 {
		return id
	}
	return id[:8]
}

func calibEvidence(a audit.Accused) string {
	if len(a.Evidence) == 0 {
		return "-"
	}
	e := a.Evidence[0]
	return fmt.Sprintf("%s: %.2f ms over %.0f km (light: %.2f ms, %s)", calibShort(e.Peer), e.RTTMS, e.DistanceKM, e.LightMS, e.Class)
}

type calibWatchFlags struct {
	series string
	window time.Duration
	json   bool
}

func calibWatchCommand() *cobra.Command {
	var o calibWatchFlags
	cmd := &cobra.Command{
		Use:   "watch --series FILE",
		Short: "What changed over time: routes, congestion, a beacon's link, place or clock",
		Long: "Reads a table of round trips over time, cuts each pair's series where its distribution changes, and says\n" +
			"whose change it is. Columns by name: unix_ts or date; src_id and dst_id, or probe; and min_ms, rtt_ms,\n" +
			"median_ms or avg30d_ms. Values of at most zero, and empty ones, are lost answers.",
		Example: "  ursa calib watch --series ../shared/data/cloud-ibm-2023-2026/series.csv.gz\n" +
			"  ursa calib watch --series measured.csv --window 2h --json",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return o.run(cmd) },
	}
	flags := cmd.Flags()
	flags.StringVar(&o.series, "series", "", "CSV table, plain or packed with gzip")
	flags.DurationVar(&o.window, "window", 0, "changes so near in time are one event (default: three intervals of measuring)")
	flags.BoolVar(&o.json, "json", false, "print one JSON object")
	return cmd
}

func (o *calibWatchFlags) run(cmd *cobra.Command) error {
	switch {
	case o.series == "":
		return usagef("no series: say --series FILE, a CSV table with a time, the two ends and a round trip")
	case o.window < 0:
		return usagef("--window %v: say a duration of at least 0", o.window)
	}
	series, points, err := calibReadSeries(o.series)
	if err != nil {
		return err
	}
	if points > 100_000 { // some seconds
		fmt.Fprintf(cmd.ErrOrStderr(), "cutting %d series of %d points\n", len(series), points)
	}
	events, err := drift.Attribute(series, o.window)
	if err != nil {
		return err
	}
	if o.json {
		if events == nil {
			events = []drift.Event{}
		}
		return json.NewEncoder(cmd.OutOrStdout()).Encode(struct {
			Data   string        `json:"data"`
			Series int           `json:"series"`
			Points int           `json:"points"`
			Events []drift.Event `json:"events"`
		}{filepath.Base(o.series), len(series), points, events})
	}
	return calibWatchTable(cmd.OutOrStdout(), o.series, len(series), points, events)
}

func calibReadSeries(path string) (series []drift.Series, points int, err error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, 0, usagef("--series: %w", err)
	}
	defer file.Close()
	var in io.Reader = file
	if strings.HasSuffix(path, ".gz") {
		if in, err = gzip.NewReader(file); err != nil {
			return nil, 0, fmt.Errorf("%s is no gzip file: pack it with gzip or take .gz off its name", path)
		}
	}
	series, err = drift.ReadCSV(in, filepath.Base(path))
	for _, s := range series {
		points += len(s.Points)
	}
	return series, points, err
}

func calibWatchTable(out io.Writer, path string, series, points int, events []drift.Event) error {
	fmt.Fprintf(out, "%s: %d series, %d points, %d events\n\n", filepath.Base(path), series, points, len(events))
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "  when\twhat\twhose\tby\tseries")
	for _, e := range events {
		whose := e.Beacon
		if whose == "" {
			whose = e.From + " - " + e.To
		}
		fmt.Fprintf(t, "  %s\t%s\t%s\t%+.1f ms\t%d of %d\n", time.Unix(e.Unix, 0).UTC().Format(time.RFC3339), e.Kind, whose, e.ShiftMS, e.Pairs, e.Of)
	}
	return t.Flush()
}
