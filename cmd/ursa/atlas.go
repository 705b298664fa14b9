package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/golang/geo/s2"
	"github.com/spf13/cobra"

	"github.com/ursa-virtual/ursa/topology/atlas"
	"github.com/ursa-virtual/ursa/topology/earth"
)

func atlasCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "atlas",
		Short: "Whose land is a place, and what does a region hold",
		Long: "The atlas knows countries (ISO 3166-1), their first-level subdivisions (ISO 3166-2) and unions such as EU27,\n" +
			"and region expressions over them. It is embedded: nothing is fetched.",
		Example: "  ursa atlas lookup 50.11,8.68\n  ursa atlas list unions\n  ursa atlas show 'US minus US-HI'",
	}
	cmd.AddCommand(atlasLookupCommand(), atlasListCommand(), atlasShowCommand())
	return cmd
}

func atlasLookupCommand() *cobra.Command {
	var asJSON bool
	var snap float64
	cmd := &cobra.Command{
		Use:     "lookup LAT,LON",
		Short:   "Print the country and subdivision of a point, and who claims it",
		Example: "  ursa atlas lookup 50.11,8.68\n  ursa atlas lookup -33.87,151.21 --json\n  ursa atlas lookup 53.98,6.9 --snap 50",
		// A latitude may begin with a minus, which cobra would take for a flag.
		DisableFlagParsing: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			at, err := atlasPosition(cmd, args)
			if help, _ := cmd.Flags().GetBool("help"); err == nil && help {
				return cmd.Help()
			}
			if err != nil {
				return err
			}
			if !(snap >= 0 && snap <= 1000) {
				return usagef("--snap %v is not within 0..1000 km", snap)
			}
			return atlasLookup(cmd.OutOrStdout(), at, earth.Metres(snap*1000), asJSON)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	cmd.Flags().Float64Var(&snap, "snap", 0, "take a point at sea for the nearest land within so many `km`")
	return cmd
}

// atlasPosition parses the flags, and the one argument that is none: "50.11,8.68".
func atlasPosition(cmd *cobra.Command, args []string) (p earth.LatLon, err error) {
	var flags, rest []string
	for _, a := range args {
		if len(a) > 1 && a[0] == '-' && strings.ContainsRune("0123456789.", rune(a[1])) {
			rest = append(rest, a)
		} else {
			flags = append(flags, a)
		}
	}
	cmd.InitDefaultHelpFlag()
	if err := cmd.Flags().Parse(flags); err != nil {
		return p, usagef("%v: see '%s --help'", err, cmd.CommandPath())
	}
	if help, _ := cmd.Flags().GetBool("help"); help {
		return p, nil
	}
	if rest = append(rest, cmd.Flags().Args()...); len(rest) != 1 {
		return p, usagef("want one position: %s", cmd.UseLine())
	}
	left, right, ok := strings.Cut(rest[0], ",")
	lat, errLat := strconv.ParseFloat(strings.TrimSpace(left), 64)
	lon, errLon := strconv.ParseFloat(strings.TrimSpace(right), 64)
	if !ok || errLat != nil || errLon != nil {
		return p, usagef("%q is no position: write latitude,longitude in degrees, such as 50.11,8.68", rest[0])
	}
	if p = (earth.LatLon{Lat: lat, Lon: lon}); p.Validate() != nil {
		return p, usagef("%q: %v: latitude comes first", rest[0], p.Validate())
	}
	return p, nil
}

// lookedUp is the JSON of atlas lookup.
type lookedUp struct {
	At   earth.LatLon `json:"at"`
	Land bool         `json:"land"`
	*atlas.Place
	MayBe []string `json:"may_be"` // countries within the atlas's accuracy
}

func atlasLookup(out io.Writer, at earth.LatLon, snap earth.Metres, asJSON bool) error {
	place, ok := atlas.LookupNear(at, snap)
	near := atlas.CountriesTouching(s2.CellFromPoint(at.Point()).ID())
	if asJSON {
		answer := lookedUp{At: at, Land: ok, MayBe: near}
		if ok {
			answer.Place = &place
		}
		return json.NewEncoder(out).Encode(answer)
	}
	if !ok {
		fmt.Fprintf(out, "%v is at sea\n", at)
	} else {
		fmt.Fprintf(out, "%v is in %s (%s), %s (%s)\n", at, place.Country, place.CountryName, place.Subdivision, place.Name)
		if place.OffBy > 0 {
			fmt.Fprintf(out, "  snapped to land %v away\n", place.OffBy)
		}
		if len(place.Claimants) > 1 {
			fmt.Fprintf(out, "  claimed by %s (%s)\n", strings.Join(place.Claimants, ", "), place.Dispute)
		}
	}
	if len(near) > 1 || !ok && len(near) > 0 {
		fmt.Fprintf(out, "  within the atlas's accuracy of %v: %s\n", atlas.Accuracy, strings.Join(near, ", "))
	}
	return nil
}

func atlasListCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:       "list [countries | subdivisions CODE | unions | disputes]",
		Short:     "List what can stand in a region expression",
		Example:   "  ursa atlas list\n  ursa atlas list subdivisions US\n  ursa atlas list unions --json",
		Args:      cobra.MaximumNArgs(2),
		ValidArgs: []string{"countries", "subdivisions", "unions", "disputes"},
		RunE: func(cmd *cobra.Command, args []string) error {
			rows, err := atlasRows(args)
			if err != nil {
				return err
			}
			if asJSON {
				return json.NewEncoder(cmd.OutOrStdout()).Encode(rows.json)
			}
			w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
			for _, row := range rows.table {
				fmt.Fprintln(w, strings.Join(row, "\t"))
			}
			return w.Flush()
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON array")
	return cmd
}

// listing is one list, for people and for machines.
type listing struct {
	table [][]string
	json  any
}

func atlasRows(args []string) (listing, error) {
	what := "countries"
	if len(args) > 0 {
		what = args[0]
	}
	if wants := what == "subdivisions"; wants != (len(args) == 2) {
		return listing{}, usagef("%q: write countries, subdivisions CODE, unions or disputes", strings.Join(args, " "))
	}
	switch what {
	case "countries":
		list, err := atlas.Countries()
		return table(list, err, func(c atlas.Country) []string { return []string{c.Code, c.Name, strconv.Itoa(c.Subdivisions)} })
	case "subdivisions":
		list, err := atlas.Subdivisions(args[1])
		if errors.Is(err, atlas.ErrUnknown) {
			err = usagef("%w", err)
		}
		return table(list, err, func(s atlas.Subdivision) []string {
			return []string{s.Code, s.Name, strings.Join(s.Claimants, " "), s.Dispute}
		})
	case "unions":
		return table(atlas.Unions(), nil, func(u atlas.Union) []string { return []string{u.Name, u.Title, strings.Join(u.Members, " ")} })
	case "disputes":
		list, err := atlas.Disputes()
		return table(list, err, func(d atlas.Dispute) []string {
			return []string{d.Name, strings.Join(d.Claimants, " "), strings.Join(d.Places, " ")}
		})
	}
	return listing{}, usagef("there is no list %q: write countries, subdivisions CODE, unions or disputes", what)
}

func table[T any](list []T, err error, row func(T) []string) (listing, error) {
	l := listing{json: list}
	for _, x := range list {
		l.table = append(l.table, row(x))
	}
	return l, err
}

// shown is the JSON of atlas show.
type shown struct {
	Region    string       `json:"region"`
	Hash      string       `json:"hash"`
	AreaKM2   float64      `json:"area_km2"`
	AccuracyM float64      `json:"accuracy_m"`
	Source    string       `json:"source"`
	SouthWest earth.LatLon `json:"south_west"`
	NorthEast earth.LatLon `json:"north_east"`
	Empty     bool         `json:"empty"`
}

func atlasShowCommand() *cobra.Command {
	var asJSON bool
	var geojson string
	cmd := &cobra.Command{
		Use:   "show EXPR",
		Short: "Print what a region expression means: canonical form, hash, area, bounds",
		Long: "Print what a region expression means.\n\n" +
			"  EU27+CH  US minus US-HI  EU27 & cap(48.2,16.4,500km)  buffer(DE,-5km)  file(permitted.geojson)\n" +
			"  land(X), territorial(X), neutral(X): to whom the sea belongs    strict(X), primary(X): who is believed in disputes",
		Example: "  ursa atlas show EU27+EEA+CH+GB\n  ursa atlas show 'buffer(DE,-5km)' --json\n  ursa atlas show 'US minus US-HI' --geojson us.geojson",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			r, err := atlas.Parse(strings.Join(args, " "), atlas.Options{ReadFile: os.ReadFile})
			if err != nil {
				return atlasUsage(cmd.ErrOrStderr(), err)
			}
			if geojson != "" {
				if err := writeGeoJSON(r, geojson); err != nil {
					return err
				}
			}
			return atlasShow(cmd.OutOrStdout(), r, asJSON)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	cmd.Flags().StringVar(&geojson, "geojson", "", "also draw the region into this `FILE`")
	return cmd
}

// atlasUsage turns a fault in an expression into a usage error. In front of a person it first draws a caret under the fault.
func atlasUsage(errOut io.Writer, err error) error {
	var syntax *atlas.SyntaxError
	if !errors.As(err, &syntax) {
		return err
	}
	if f, ok := errOut.(*os.File); ok {
		if info, statErr := f.Stat(); statErr == nil && info.Mode()&os.ModeCharDevice != 0 {
			fmt.Fprintln(errOut, syntax.Caret())
		}
	}
	return usagef("%w", err)
}

func writeGeoJSON(r *atlas.Region, file string) error {
	data, err := r.GeoJSON()
	if err != nil {
		return err
	}
	return os.WriteFile(file, append(data, '\n'), 0o644)
}

func atlasShow(out io.Writer, r *atlas.Region, asJSON bool) error {
	hash := r.Hash()
	low, high, ok := r.Bound()
	s := shown{
		Region: r.String(), Hash: fmt.Sprintf("%x", hash), AreaKM2: math.Round(r.AreaKM2()*10) / 10, AccuracyM: float64(r.Accuracy()),
		Source: atlas.Version(), SouthWest: low, NorthEast: high, Empty: !ok,
	}
	if asJSON {
		return json.NewEncoder(out).Encode(s)
	}
	fmt.Fprintf(out, "region    %s\nhash      %s\narea      %.0f km²\n", s.Region, s.Hash, s.AreaKM2)
	if ok {
		fmt.Fprintf(out, "bounds    %v to %v\n", low, high)
	} else {
		fmt.Fprintln(out, "bounds    none: nothing may be in it")
	}
	fmt.Fprintf(out, "accuracy  %v: nothing within it of a border is certain\nsource    %s\n", r.Accuracy(), s.Source)
	return nil
}
