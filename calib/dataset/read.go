package dataset

import (
	"errors"
	"io"
	"math"
	"strconv"
	"strings"

	"github.com/ursa-virtual/ursa/topology/earth"
)

// The headers of the two tables, exactly.
const (
	NodesHeader = "id,name,country_iso2,lat,lon,source"
	RTTHeader   = "src_id,dst_id,min_ms,median_ms,samples"
)

// MaxRTT is the longest round trip that a table may hold, ten minutes. More is a wrong unit, not a path.
const MaxRTT earth.RTT = 600e9

// maxID is the longest id or name in bytes.
const maxID = 256

// ReadNodes reads the node table; file is its name for errors.
func ReadNodes(r io.Reader, file string) ([]Node, error) {
	t, err := newTable(r, file, NodesHeader)
	if err != nil {
		return nil, err
	}
	var nodes []Node
	lineOf := make(map[string]int)
	for {
		f, err := t.next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		n, err := parseNode(f)
		if err != nil {
			return nil, t.wrong(err)
		}
		if first, dup := lineOf[n.ID]; dup {
			return nil, t.wrong(tell(ErrDuplicate, "id %s is given on line %d already; each node needs an id of its own", shown(n.ID), first))
		}
		if len(nodes) == MaxNodes {
			return nil, t.wrong(tell(ErrTooLarge, "more than %d nodes", MaxNodes))
		}
		lineOf[n.ID] = t.line
		nodes = append(nodes, n)
	}
	if len(nodes) == 0 {
		return nil, t.wrong(tell(ErrNoNodes, "no node after the header; write one line for each: %s", NodesHeader))
	}
	return nodes, nil
}

func parseNode(f []string) (Node, error) {
	n := Node{ID: strings.Clone(f[0]), Name: strings.Clone(f[1]), Country: strings.Clone(f[2]), Source: strings.Clone(f[5])}
	var err error
	if n.At.Lat, err = degrees("lat", f[3], 90, "50.1109"); err != nil {
		return Node{}, err
	}
	if n.At.Lon, err = degrees("lon", f[4], 180, "8.6821"); err != nil {
		return Node{}, err
	}
	return n, n.validate()
}

// validate refuses what the format cannot carry.
func (n Node) validate() error {
	switch {
	case n.ID == "":
		return tell(ErrID, "id is empty; give each node an id, e.g. wp29")
	case len(n.ID) > maxID || len(n.Name) > maxID || len(n.Source) > maxID:
		return tell(ErrTooLarge, "id, name or source is longer than %d bytes", maxID)
	case strings.TrimSpace(n.ID) != n.ID:
		return tell(ErrID, "id %s begins or ends with a space", shown(n.ID))
	case !printable(n.ID) || !printable(n.Name) || !printable(n.Source):
		return tell(ErrText, "id, name or source is not printable UTF-8 text")
	case n.Country != "" && !countryCode(n.Country):
		return tell(ErrCountry, "country_iso2 %s is not a two-letter code, e.g. DE", shown(n.Country))
	}
	if err := n.At.Validate(); err != nil {
		return tell(ErrCoordinate, "%v", err)
	}
	return nil
}

func countryCode(s string) bool {
	return len(s) == 2 && s[0] >= 'A' && s[0] <= 'Z' && s[1] >= 'A' && s[1] <= 'Z'
}

func degrees(column, s string, limit float64, example string) (float64, error) {
	v, ok := decimal(s)
	if !ok {
		return 0, tell(ErrCoordinate, "%s %s is not a number of degrees, e.g. %s", column, shown(s), example)
	}
	if math.Abs(v) > limit {
		return 0, tell(ErrCoordinate, "%s %s is not within -%g..%g degrees", column, shown(s), limit, limit)
	}
	return v, nil
}

// decimal reads a finite decimal number. ParseFloat alone would also take "inf", "nan" and hexadecimal.
func decimal(s string) (float64, bool) {
	if strings.Trim(s, "0123456789.eE+-") != "" { // what is left holds a character that no decimal number has
		return 0, false
	}
	v, err := strconv.ParseFloat(s, 64)
	return v, err == nil
}

// ReadRTT adds the rows of a round-trip table to the set; file is its name for errors. Samples may be any text ("~48x30").
func (s *Set) ReadRTT(r io.Reader, file string) error {
	t, err := newTable(r, file, RTTHeader)
	if err != nil {
		return err
	}
	for {
		f, err := t.next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := s.addRow(f); err != nil {
			return t.wrong(err)
		}
	}
}

func (s *Set) addRow(f []string) error {
	src, ok := s.index[f[0]]
	if !ok {
		return tell(ErrUnknownNode, "src_id %s is in no row of nodes.csv", shown(f[0]))
	}
	dst, ok := s.index[f[1]]
	if !ok {
		return tell(ErrUnknownNode, "dst_id %s is in no row of nodes.csv", shown(f[1]))
	}
	minimum, okMin, err := millis("min_ms", f[2])
	if err != nil {
		return err
	}
	median, okMedian, err := millis("median_ms", f[3])
	if err != nil {
		return err
	}
	switch {
	case src == dst:
		s.Ignored.Self++
		return nil
	case okMin:
		return s.Add(src, dst, minimum, false)
	case okMedian:
		return s.Add(src, dst, median, true)
	}
	s.Ignored.Empty++
	return nil
}

// millis reads a field of milliseconds; empty means that the source does not give it.
func millis(column, s string) (rtt earth.RTT, given bool, err error) {
	if s == "" {
		return 0, false, nil
	}
	v, ok := decimal(s)
	if !ok {
		return 0, false, tell(ErrRTT, "%s %s is not a number of milliseconds, e.g. 12.345", column, shown(s))
	}
	if v <= 0 {
		return 0, false, tell(ErrRTT, "%s %s is not above zero; leave the field empty where nothing was measured", column, shown(s))
	}
	if v > MaxRTT.Millis() {
		return 0, false, tell(ErrRTT, "%s %s is longer than %.0f ms; the column is in milliseconds", column, shown(s), MaxRTT.Millis())
	}
	return nanoseconds(v), true, nil
}

// nanoseconds converts milliseconds to whole nanoseconds. Decimal fractions are not binary ones: 12.345678 · 1e6 comes out a
// hair above 12,345,678. What lies within a picosecond of a whole number is that number, so that writing and reading again is
// exact; anything else is rounded up, as everywhere.
func nanoseconds(ms float64) earth.RTT {
	ns := ms * 1e6
	if whole := math.Round(ns); math.Abs(ns-whole) < 1e-3 {
		return max(1, earth.RTT(whole))
	}
	return earth.RTT(math.Ceil(ns))
}
