package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"

	"github.com/ursa-virtual/ursa/locator/region"
	"github.com/ursa-virtual/ursa/locator/verdict"
	"github.com/ursa-virtual/ursa/simnet/world"
	"github.com/ursa-virtual/ursa/topology/atlas"
	"github.com/ursa-virtual/ursa/topology/earth"
	"github.com/ursa-virtual/ursa/topology/plan"
)

// What planning assumes of every future measurement; only the round trip is modelled.
const (
	planPosUnc      earth.Metres = 100     // a surveyed rack
	planGranularity earth.RTT    = 1000    // ns, a user-space clock
	planErrPPB                   = 200_000 // an undisciplined oscillator
	planAge                      = 10 * time.Second
)

// planFlags are common to the plan commands.
type planFlags struct {
	beacons, permit, speed string
	f, ask                 int
	stretch                float64
	access                 time.Duration
	json                   bool
	geojson, chart         string
}

func planCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "plan",
		Short: "Which beacons to ask, what they can prove, where to put the next one",
		Long: "Plans are estimates: round trips between places that were never measured follow a model\n" +
			"(stretch times light's time along the chord, plus the core's access delay). Nothing here enters a proof.\n\n" +
			"Tables of beacons are CSV with a header: id, lat, lon, and if present name and domains (separated by ';').\n" +
			"The nodes.csv of a measured data set is such a table.",
		Example: "  ursa plan committee Frankfurt --members 8 --f 1\n" +
			"  ursa plan coverage --beacons nodes.csv --permit DE --map coverage.svg\n" +
			"  ursa plan place --pick 5 --permit EU27 --places cities --map sites.svg",
	}
	cmd.AddCommand(planCommitteeCommand(), planCoverageCommand(), planPlaceCommand())
	return cmd
}

func (p *planFlags) register(cmd *cobra.Command, beacons string) {
	flags := cmd.Flags()
	flags.StringVar(&p.beacons, "beacons", beacons, "CSV table of beacons, or cities for the built-in ones")
	flags.StringVar(&p.permit, "permit", "", "permitted region, such as EU27+CH")
	flags.StringVar(&p.speed, "speed", "vacuum", "signal speed class: vacuum or fibre")
	flags.IntVar(&p.f, "f", 0, "fault domains that may lie")
	flags.IntVar(&p.ask, "ask", 16, "beacons that a core asks, those with the shortest round trips; 0 asks all")
	flags.Float64Var(&p.stretch, "stretch", 3.2, "round trip over light's time along the chord; 3.2 is the median of the public Internet, 2.1 its fifth percentile")
	flags.DurationVar(&p.access, "access", time.Millisecond, "what the core's own link adds to each round trip")
	flags.BoolVar(&p.json, "json", false, "print one JSON object")
	flags.StringVar(&p.geojson, "geojson", "", "write the plan as GeoJSON to this file")
	flags.StringVar(&p.chart, "map", "", "draw the plan as SVG into this file")
}

// planSetup is what the flags amount to.
type planSetup struct {
	fleet   *plan.Fleet
	locator *planLocator
	permit  *atlas.Region // nil when none was given
}

// setup reads the flags.
func (p *planFlags) setup(needPermit bool) (*planSetup, error) {
	s := &planSetup{locator: &planLocator{}, fleet: &plan.Fleet{F: p.f, Ask: p.ask}}
	if p.chart != "" && filepath.Ext(p.chart) != ".svg" {
		return nil, usagef("--map %s: maps are drawn as SVG: name a file that ends in .svg", p.chart)
	}
	class, err := earth.ParseSpeedClass(p.speed)
	if err != nil {
		return nil, usagef("--speed: %w", err)
	}
	s.locator.params = verdict.Params{Speed: class, F: p.f}
	if _, err := s.locator.params.Resolve(); err != nil {
		return nil, usagef("--f: %w", err)
	}
	if p.ask != 0 && p.ask < 2*p.f+1 || p.ask > region.MaxBounds {
		return nil, usagef("--ask %d is not 0 or within 2f+1 = %d..%d", p.ask, 2*p.f+1, region.MaxBounds)
	}
	if s.fleet.Delay, err = plan.Stretched(p.stretch, earth.RTT(p.access)); err != nil {
		return nil, usagef("--stretch, --access: %w", err)
	}
	switch {
	case p.permit != "":
		if s.permit, err = atlas.Parse(p.permit, atlas.Options{ReadFile: os.ReadFile}); err != nil {
			return nil, usagef("--permit: %w", err)
		}
		s.locator.permit = s.permit
	case needPermit:
		return nil, usagef("no region: say --permit EXPR, such as --permit DE or --permit EU27+CH")
	}
	if p.beacons != "" {
		if s.fleet.Sites, err = planReadSites("--beacons", p.beacons); err != nil {
			return nil, err
		}
	}
	s.fleet.Locator = s.locator
	if err := s.fleet.Validate(); err != nil {
		return nil, usagef("%w", err)
	}
	return s, nil
}

// planCities names the built-in cities where a table is asked for: each a site in a domain of its own, weighing its population.
const planCities = "cities"

func planTable[T any](flag, file string, read func(io.Reader, string) ([]T, error), city func(world.Place) T) ([]T, error) {
	if file == planCities {
		cities, err := world.Cities()
		var rows []T
		for _, c := range cities {
			rows = append(rows, city(c))
		}
		return rows, err
	}
	in, err := os.Open(file)
	if err != nil {
		return nil, usagef("%s: %w: name a CSV table or %q", flag, err, planCities)
	}
	defer in.Close()
	rows, err := read(in, file)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", flag, err)
	}
	return rows, nil
}

func planReadSites(flag, file string) ([]plan.Site, error) {
	return planTable(flag, file, plan.ReadSites, func(c world.Place) plan.Site {
		return plan.Site{ID: c.ID, Name: c.Name, At: c.At, Domains: []string{c.ID}}
	})
}

func planReadPlaces(file string) ([]plan.Sample, error) {
	return planTable("--places", file, plan.ReadPlaces, func(c world.Place) plan.Sample {
		return plan.Sample{Name: c.Name, At: c.At, Weight: float64(max(1, c.Population))}
	})
}

// planLocator judges hypothetical measurements as the gate would.
type planLocator struct {
	params verdict.Params
	permit *atlas.Region
}

// Radius returns how far a core may be after one round trip.
func (l *planLocator) Radius(rtt earth.RTT) (earth.Metres, error) {
	return region.Radius(region.RadiusInput{
		Speed: l.params.Speed, RTT: rtt, Granularity: planGranularity, ErrPPB: planErrPPB,
		PosUnc: planPosUnc, VMax: verdict.DefaultVMax, Age: planAge,
	})
}

// Margin returns the distance to the nearest place that is not certainly permitted.
func (l *planLocator) Margin(at earth.LatLon) (earth.Metres, error) {
	outside, ok := region.Everywhere(region.MaxLevel).NearestOutside(l.permit, at.ECEF(0))
	if !ok {
		return 3 * earth.SemiMajor, nil
	}
	return outside.Distance, nil
}

// Locate returns the region of the measurements and, when there is a permit, whether the verdict would be Inside.
func (l *planLocator) Locate(at earth.LatLon, measured []plan.Measurement) (plan.Outcome, error) {
	r, inside, err := l.judge(measured)
	if err != nil {
		return plan.Outcome{}, err
	}
	_, reach := r.Reach(at.ECEF(0))
	return plan.Outcome{AreaKM2: r.AreaKM2(), Inside: inside, Reach: reach}, nil
}

func (l *planLocator) judge(measured []plan.Measurement) (*region.Region, bool, error) {
	if l.permit == nil {
		bounds := make([]region.Bound, len(measured))
		for i, m := range measured {
			radius, err := l.Radius(m.RTT)
			if err != nil {
				return nil, false, err
			}
			bounds[i] = region.Bound{Beacon: m.Site.ID, Domains: m.Site.Domains, Centre: m.Site.At.ECEF(0), Radius: radius}
		}
		r, err := region.Search(bounds, l.params.F, region.Options{})
		return r, false, err
	}
	observations := make([]verdict.Observation, len(measured))
	for i, m := range measured {
		observations[i] = verdict.Observation{
			Beacon: m.Site.ID, Place: m.Site.Name, Domains: m.Site.Domains, Position: m.Site.At.ECEF(0), PosUnc: planPosUnc,
			RTT: m.RTT, Granularity: planGranularity, ErrPPB: planErrPPB, Age: planAge,
		}
	}
	v, err := verdict.Judge(observations, l.params, l.permit, nil)
	if err != nil {
		return nil, false, err
	}
	r, _ := v.Region()
	return r, v.Inside(), nil
}

// planProgress shows a bar on a terminal and plain lines elsewhere, for what takes longer than a second.
type planProgress struct {
	out    io.Writer
	what   string
	start  time.Time
	last   time.Time
	pool   *mpb.Progress
	bar    *mpb.Bar
	screen bool
}

func newPlanProgress(out io.Writer, what string) *planProgress {
	p := &planProgress{out: out, what: what, start: time.Now()}
	if file, ok := out.(*os.File); ok {
		if info, err := file.Stat(); err == nil {
			p.screen = info.Mode()&os.ModeCharDevice != 0
		}
	}
	return p
}

func (p *planProgress) tell(done, total int) {
	now := time.Now()
	if now.Sub(p.start) < time.Second {
		return
	}
	if !p.screen {
		if now.Sub(p.last) >= 5*time.Second {
			fmt.Fprintf(p.out, "%s: %d of %d\n", p.what, done, total)
			p.last = now
		}
		return
	}
	if p.bar == nil {
		p.pool = mpb.New(mpb.WithOutput(p.out), mpb.WithWidth(48))
		p.bar = p.pool.AddBar(int64(total)+1, mpb.BarRemoveOnComplete(),
			mpb.PrependDecorators(decor.Name(p.what+" ")), mpb.AppendDecorators(decor.CountersNoUnit("%d/%d")))
	}
	p.bar.SetTotal(int64(total)+1, false)
	p.bar.SetCurrent(int64(done))
}

// stop clears the bar.
func (p *planProgress) stop() {
	if p.bar != nil {
		p.bar.Abort(true)
		p.pool.Wait()
	}
}

// write stores the plan as GeoJSON and as a map, as the flags ask.
func (p *planFlags) write(data plan.Collection, title, caption string) error {
	if p.geojson != "" {
		line, err := data.JSON()
		if err != nil {
			return err
		}
		if err := os.WriteFile(p.geojson, line, 0o644); err != nil {
			return fmt.Errorf("--geojson: %w", err)
		}
	}
	if p.chart == "" {
		return nil
	}
	chart := plan.Chart{Title: title, Caption: caption, Data: data}
	var err error
	if chart.Land, err = chart.LandOutlines(); err != nil {
		return fmt.Errorf("--map: %w", err)
	}
	out, err := os.Create(p.chart)
	if err != nil {
		return fmt.Errorf("--map: %w", err)
	}
	_, err = chart.WriteTo(out)
	if err := errors.Join(err, out.Close()); err != nil {
		return fmt.Errorf("--map: %w", err)
	}
	return nil
}

func (p *planFlags) assumptions() string {
	return fmt.Sprintf("f = %d, %s, stretch %g, access %v, a core asks %d", p.f, p.speed, p.stretch, p.access, p.ask)
}

// planPlace reads "lat,lon" or finds a site by id or name.
func planPlace(text string, sites []plan.Site) (earth.LatLon, error) {
	if lat, lon, ok := strings.Cut(text, ","); ok {
		var p earth.LatLon
		var errLat, errLon error
		p.Lat, errLat = strconv.ParseFloat(strings.TrimSpace(lat), 64)
		p.Lon, errLon = strconv.ParseFloat(strings.TrimSpace(lon), 64)
		if errLat == nil && errLon == nil {
			if err := p.Validate(); err != nil {
				return p, usagef("place %q: %w", text, err)
			}
			return p, nil
		}
	}
	for _, s := range sites {
		if s.ID == text || strings.EqualFold(s.Name, text) {
			return s.At, nil
		}
	}
	return earth.LatLon{}, usagef("unknown place %q: say LAT,LON in degrees or the id or name of a beacon in the table", text)
}

func planPrintJSON(out io.Writer, v any) error {
	line, err := json.Marshal(v)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "%s\n", line)
	return err
}

type planMemberJSON struct {
	ID      string       `json:"id"`
	Name    string       `json:"name"`
	Domains []string     `json:"domains"`
	RTTNS   earth.RTT    `json:"rtt_ns"`
	RadiusM earth.Metres `json:"radius_m"`
}

type planCommitteeJSON struct {
	At        earth.LatLon     `json:"at"`
	Permit    string           `json:"permit"`
	Speed     string           `json:"speed"`
	F         int              `json:"f"`
	Domains   int              `json:"domains"`
	RegionKM2 float64          `json:"region_km2"`
	Inside    *bool            `json:"inside"` // null without a permit
	Exchanges int              `json:"exchanges"`
	Members   []planMemberJSON `json:"members"`
}

func planCommitteeCommand() *cobra.Command {
	var p planFlags
	members := 8
	cmd := &cobra.Command{
		Use:   "committee PLACE",
		Short: "Choose the beacons that make the region of a claimed place smallest",
		Long: "PLACE is LAT,LON in degrees or the id or name of a beacon. The search starts with the shortest round trips and\n" +
			"exchanges one member at a time as long as the region shrinks: a local optimum, of 2f+1 domains at least.",
		Example: "  ursa plan committee 50.11,8.68 --beacons nodes.csv --members 8 --f 1",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			s, err := p.setup(false)
			if err != nil {
				return err
			}
			at, err := planPlace(args[0], s.fleet.Sites)
			if err != nil {
				return err
			}
			bar := newPlanProgress(cmd.ErrOrStderr(), "committees tried")
			c, err := plan.ChooseCommittee(cmd.Context(), s.fleet, at, members, bar.tell)
			bar.stop()
			if errors.Is(err, plan.ErrMembers) || errors.Is(err, plan.ErrDomains) {
				return usagef("--members %d: %w", members, err)
			}
			if err != nil {
				return err
			}
			out := planCommitteeJSON{At: at, Permit: p.permit, Speed: p.speed, F: p.f, Domains: c.Domains, RegionKM2: c.Outcome.AreaKM2, Exchanges: c.Rounds}
			if s.permit != nil {
				out.Inside = &c.Outcome.Inside
			}
			for _, m := range c.Members {
				radius, err := s.locator.Radius(m.RTT)
				if err != nil {
					return err
				}
				out.Members = append(out.Members, planMemberJSON{m.Site.ID, m.Site.Name, m.Site.Domains, m.RTT, radius})
			}
			if err := p.write(c.Collection(), fmt.Sprintf("%d beacons for %v", len(c.Members), at), p.assumptions()); err != nil {
				return err
			}
			if p.json {
				return planPrintJSON(cmd.OutOrStdout(), out)
			}
			out.print(cmd.OutOrStdout())
			return nil
		},
	}
	p.register(cmd, planCities)
	cmd.Flags().IntVar(&members, "members", members, "beacons in the committee")
	return cmd
}

func (c planCommitteeJSON) print(out io.Writer) {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "beacon\tname\trtt\tradius")
	for _, m := range c.Members {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", m.ID, m.Name, m.RTTNS, m.RadiusM)
	}
	w.Flush()
	fmt.Fprintf(out, "%d beacons of %d domains, f = %d, %s: the region of a core at %v would have at most %.0f km²\n",
		len(c.Members), c.Domains, c.F, c.Speed, c.At, c.RegionKM2)
	if c.Inside != nil {
		fmt.Fprintf(out, "proven inside %s: %v\n", c.Permit, *c.Inside)
	}
}

// planSamples returns the places of a table that are not certainly outside the permit, or cells of the permit.
func planSamples(s *planSetup, file string, cells int) ([]plan.Sample, error) {
	if file == "" {
		samples, err := plan.Samples(s.permit, cells)
		if err != nil {
			return nil, usagef("--samples %d: %w", cells, err)
		}
		return samples, nil
	}
	all, err := planReadPlaces(file)
	if err != nil {
		return nil, err
	}
	var places []plan.Sample
	for _, place := range all {
		if s.permit.ClassPoint(place.At) != atlas.Out {
			places = append(places, place)
		}
	}
	if len(places) == 0 {
		return nil, usagef("--places: none of the %d places of %s lies in %s", len(all), file, s.permit)
	}
	return places, nil
}

func planCoverageCommand() *cobra.Command {
	var p planFlags
	places, cells := "", 400
	cmd := &cobra.Command{
		Use:   "coverage",
		Short: "Compute where in a region a core would be proven inside",
		Long: "Samples the region by equal cells (share by area) and, with --places, by a list (share by weight or population),\n" +
			"and judges at each sample what a core there would measure.",
		Example: "  ursa plan coverage --beacons nodes.csv --permit DE --f 1 --access 500us --map coverage.svg",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			s, err := p.setup(true)
			if err != nil {
				return err
			}
			return p.coverage(cmd, s, places, cells)
		},
	}
	p.register(cmd, planCities)
	cmd.Flags().StringVar(&places, "places", "", "CSV table of places to cover as well (lat, lon, and if present name and weight or population), or cities")
	cmd.Flags().IntVar(&cells, "samples", cells, "cells to divide the region into, at least")
	return cmd
}

func (p *planFlags) coverage(cmd *cobra.Command, s *planSetup, places string, cells int) error {
	out := struct {
		Permit  string        `json:"permit"`
		Speed   string        `json:"speed"`
		F       int           `json:"f"`
		Beacons int           `json:"beacons"`
		Area    plan.Summary  `json:"area_km2"`
		Places  *plan.Summary `json:"places"` // null without --places
	}{Permit: s.permit.String(), Speed: p.speed, F: p.f, Beacons: len(s.fleet.Sites)}
	var listed *plan.Coverage
	if places != "" {
		samples, err := planSamples(s, places, 0)
		if err != nil {
			return err
		}
		if listed, err = planCover(cmd, s, samples, "places judged"); err != nil {
			return err
		}
		share := listed.Summary()
		out.Places = &share
	}
	samples, err := planSamples(s, "", cells)
	if err != nil {
		return err
	}
	c, err := planCover(cmd, s, samples, "cells judged")
	if err != nil {
		return err
	}
	out.Area = c.Summary()
	drawn := c.Collection(s.fleet.Sites)
	if listed != nil {
		drawn.Features = append(drawn.Features, listed.Collection(nil).Features...)
	}
	title := fmt.Sprintf("A core is provable in %.1f %% of %s", 100*c.Share(), s.permit)
	if err := p.write(drawn, title, p.assumptions()); err != nil {
		return err
	}
	if p.json {
		return planPrintJSON(cmd.OutOrStdout(), out)
	}
	fmt.Fprintf(cmd.OutOrStdout(), "%s with %d beacons (%s)\nby area:   %5.1f %% of %.0f km² (%d cells)\n",
		s.permit, len(s.fleet.Sites), p.assumptions(), 100*c.Share(), c.Total, len(c.Samples))
	if listed != nil {
		fmt.Fprintf(cmd.OutOrStdout(), "by places: %5.1f %% of weight %.0f (%d places)\n", 100*listed.Share(), listed.Total, len(listed.Samples))
	}
	return nil
}

func planCover(cmd *cobra.Command, s *planSetup, samples []plan.Sample, what string) (*plan.Coverage, error) {
	bar := newPlanProgress(cmd.ErrOrStderr(), what)
	defer bar.stop()
	return plan.Cover(cmd.Context(), s.fleet, samples, bar.tell)
}

func planPlaceCommand() *cobra.Command {
	var p planFlags
	candidates, places, cells, pick := planCities, "", 150, 3
	cmd := &cobra.Command{
		Use:   "place",
		Short: "Choose where to put the next beacons",
		Long: "Chooses sites from a table, one after the other, each time the one that makes most of the region provable:\n" +
			"by area, or with --places by weight or population. Greedy: the best set may be better.",
		Example: "  ursa plan place --candidates halls.csv --pick 5 --permit EU27 --f 1",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			s, err := p.setup(true)
			if err != nil {
				return err
			}
			sites, err := planReadSites("--candidates", candidates)
			if err != nil {
				return err
			}
			sites = slices.DeleteFunc(sites, func(c plan.Site) bool { // there already
				return slices.ContainsFunc(s.fleet.Sites, func(b plan.Site) bool { return b.ID == c.ID })
			})
			samples, err := planSamples(s, places, cells)
			if err != nil {
				return err
			}
			bar := newPlanProgress(cmd.ErrOrStderr(), "sites tried")
			e, err := plan.Extend(cmd.Context(), s.fleet, sites, pick, samples, bar.tell)
			bar.stop()
			if errors.Is(err, plan.ErrPicks) || errors.Is(err, plan.ErrSite) {
				return usagef("--pick, --candidates: %w", err)
			}
			if err != nil {
				return err
			}
			return p.placed(cmd, s, e)
		},
	}
	p.register(cmd, "")
	cmd.Flags().StringVar(&candidates, "candidates", candidates, "CSV table of sites to choose from, or cities for the built-in ones")
	cmd.Flags().StringVar(&places, "places", "", "CSV table of places to make provable in place of the region's area, or cities")
	cmd.Flags().IntVar(&cells, "samples", cells, "cells to divide the region into, at least")
	cmd.Flags().IntVar(&pick, "pick", pick, "sites to choose, at most")
	return cmd
}

func (p *planFlags) placed(cmd *cobra.Command, s *planSetup, e *plan.Extension) error {
	out := struct {
		Permit string       `json:"permit"`
		Speed  string       `json:"speed"`
		F      int          `json:"f"`
		Before plan.Summary `json:"before"`
		After  plan.Summary `json:"after"`
		Picks  []plan.Pick  `json:"picks"`
	}{s.permit.String(), p.speed, p.f, e.Before.Summary(), e.After.Summary(), append([]plan.Pick{}, e.Picks...)}
	title := fmt.Sprintf("%d new sites make %.1f %% of %s provable", len(e.Picks), 100*e.After.Share(), s.permit)
	if err := p.write(e.Collection(s.fleet.Sites), title, p.assumptions()); err != nil {
		return err
	}
	if p.json {
		return planPrintJSON(cmd.OutOrStdout(), out)
	}
	w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "%s (%s)\n\tsite\tname\tprovable\n0\t\tas it is\t%.1f %%\n", s.permit, p.assumptions(), 100*e.Before.Share())
	for i, k := range e.Picks {
		fmt.Fprintf(w, "%d\t%s\t%s\t%.1f %%\n", i+1, k.Site.ID, k.Site.Name, 100*k.Proven/e.Before.Total)
	}
	return w.Flush()
}
