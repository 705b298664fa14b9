package places

import (
	"encoding/binary"
	"math"
	"slices"
	"strings"
)

// milli returns degrees in thousandths, rounded.
func milli(degrees float64) int64 { return int64(math.Round(degrees * 1000)) }

func compare(a, b Place) int {
	if c := strings.Compare(a.Country, b.Country); c != 0 {
		return c
	}
	if d := milli(a.At.Lat) - milli(b.At.Lat); d != 0 {
		return int(d)
	}
	if d := milli(a.At.Lon) - milli(b.At.Lon); d != 0 {
		return int(d)
	}
	return strings.Compare(a.Name, b.Name)
}

// encodeColumns writes countries with their counts, then latitudes (steps from the south within each country), longitudes (steps),
// populations in hundreds, ranks, and names, each ended by a line feed. Columns pack better than rows.
func encodeColumns(list []Place) ([]byte, error) {
	list = slices.Clone(list)
	slices.SortFunc(list, compare)
	for _, p := range list {
		if strings.ContainsRune(p.Name, '\n') {
			return nil, ErrName
		}
	}
	if err := check(list, nil); err != nil {
		return nil, err
	}
	var codes []string
	count := map[string]uint64{}
	for _, p := range list {
		if count[p.Country] == 0 {
			codes = append(codes, p.Country)
		}
		count[p.Country]++
	}
	out := binary.AppendUvarint(nil, uint64(len(codes)))
	for _, code := range codes {
		if len(code) != 2 {
			return nil, ErrCountry
		}
		out = append(out, code...)
		out = binary.AppendUvarint(out, count[code])
	}
	lat, lon := int64(0), int64(0)
	for i, p := range list {
		if i == 0 || list[i-1].Country != p.Country {
			lat = -90_000
		}
		out = binary.AppendUvarint(out, uint64(milli(p.At.Lat)-lat))
		lat = milli(p.At.Lat)
	}
	for _, p := range list {
		out = binary.AppendVarint(out, milli(p.At.Lon)-lon)
		lon = milli(p.At.Lon)
	}
	for _, p := range list {
		out = binary.AppendUvarint(out, uint64(p.Population+50)/100)
	}
	for _, p := range list {
		out = append(out, byte(p.Rank))
	}
	for _, p := range list {
		out = append(append(out, p.Name...), '\n')
	}
	return out, nil
}
