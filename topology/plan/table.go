package plan

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/ursa-virtual/ursa/topology/earth"
)

// ErrTable reports a table that cannot be read; the message names line, column and what would be right.
var ErrTable = errors.New("bad table")

// ReadSites reads a CSV table with a header: columns lat and lon in degrees, id (or else name), and if present name and domains
// (separated by semicolons; a site without is a domain of its own, named as its id). Other columns are left alone, so the nodes.csv
// of a measured data set is a table of sites. Errors name source and line.
func ReadSites(r io.Reader, source string) ([]Site, error) {
	t, err := readTable(r, source, MaxSites)
	if err != nil {
		return nil, err
	}
	sites := make([]Site, 0, len(t.rows))
	seen := map[string]int{}
	for _, row := range t.rows {
		s := Site{ID: row.text("id"), Name: row.text("name")}
		if s.ID == "" {
			s.ID = s.Name
		}
		if s.ID == "" {
			return nil, row.fault("neither id nor name: give the site one")
		}
		if first, dup := seen[s.ID]; dup {
			return nil, row.fault("id %q is on line %d already: give each site its own", s.ID, first)
		}
		seen[s.ID] = row.line
		if s.At, err = row.place(); err != nil {
			return nil, err
		}
		for _, d := range strings.Split(row.text("domains"), ";") {
			if d = strings.TrimSpace(d); d != "" && !slices.Contains(s.Domains, d) {
				s.Domains = append(s.Domains, d)
			}
		}
		if len(s.Domains) == 0 {
			s.Domains = []string{s.ID}
		}
		sites = append(sites, s)
	}
	return sites, nil
}

// ReadPlaces reads a CSV table of places to cover: columns lat and lon, and if present name and weight (or population; 1 when
// absent or empty). Errors name source and line.
func ReadPlaces(r io.Reader, source string) ([]Sample, error) {
	t, err := readTable(r, source, MaxSamples)
	if err != nil {
		return nil, err
	}
	samples := make([]Sample, 0, len(t.rows))
	for _, row := range t.rows {
		s := Sample{Name: row.text("name"), Weight: 1}
		if s.At, err = row.place(); err != nil {
			return nil, err
		}
		for _, column := range []string{"weight", "population"} {
			if text := row.text(column); text != "" {
				if s.Weight, err = strconv.ParseFloat(text, 64); err != nil || !(s.Weight > 0 && s.Weight < 1e15) {
					return nil, row.fault("%s %q is not a positive number", column, text)
				}
				break
			}
		}
		samples = append(samples, s)
	}
	return samples, nil
}

type table struct {
	source string
	column map[string]int
	rows   []tableRow
}

type tableRow struct {
	t      *table
	line   int
	fields []string
}

func readTable(r io.Reader, source string, most int) (*table, error) {
	in := csv.NewReader(r)
	header, err := in.Read()
	if err != nil {
		return nil, fmt.Errorf("%w: %s: want a header with lat and lon: %v", ErrTable, source, plain(err))
	}
	t := &table{source: source, column: map[string]int{}}
	for i, name := range header {
		name = strings.ToLower(strings.TrimSpace(strings.TrimPrefix(name, "\ufeff")))
		if _, dup := t.column[name]; dup {
			return nil, fmt.Errorf("%w: %s:1: column %q appears twice", ErrTable, source, name)
		}
		t.column[name] = i
	}
	for _, need := range []string{"lat", "lon"} {
		if _, ok := t.column[need]; !ok {
			return nil, fmt.Errorf("%w: %s:1: no column %q: want lat and lon, and id or name", ErrTable, source, need)
		}
	}
	for {
		fields, err := in.Read()
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("%w: %s: %v", ErrTable, source, plain(err))
		}
		line, _ := in.FieldPos(0)
		if len(t.rows) == most {
			return nil, fmt.Errorf("%w: %s:%d: more than %d rows", ErrTooLarge, source, line, most)
		}
		t.rows = append(t.rows, tableRow{t, line, fields})
	}
	if len(t.rows) == 0 {
		return nil, fmt.Errorf("%w: %s: no rows below the header", ErrTable, source)
	}
	return t, nil
}

// plain keeps what encoding/csv says on one line.
func plain(err error) string { return strings.ReplaceAll(err.Error(), "\n", " ") }

func (r tableRow) fault(format string, args ...any) error {
	return fmt.Errorf("%w: %s:%d: %s", ErrTable, r.t.source, r.line, fmt.Sprintf(format, args...))
}

func (r tableRow) text(column string) string {
	i, ok := r.t.column[column]
	if !ok || i >= len(r.fields) {
		return ""
	}
	return strings.TrimSpace(r.fields[i])
}

func (r tableRow) place() (earth.LatLon, error) {
	var p earth.LatLon
	for _, c := range []struct {
		name string
		to   *float64
	}{{"lat", &p.Lat}, {"lon", &p.Lon}} {
		v, err := strconv.ParseFloat(r.text(c.name), 64)
		if err != nil {
			return p, r.fault("%s %q is not a number of degrees", c.name, r.text(c.name))
		}
		*c.to = v
	}
	if err := p.Validate(); err != nil {
		return p, r.fault("%v", err)
	}
	return p, nil
}
