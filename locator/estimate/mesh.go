package estimate

import (
	"errors"
	"fmt"
	"math"

	"github.com/ursa-virtual/ursa/calib/model"
	"github.com/ursa-virtual/ursa/topology/earth"
)

// MaxBeacons limits a constellation: its matrices of 2,048 beacons take 100 MB.
const MaxBeacons = 2048

// maxRTT is the longest round trip that is a path and no mistake in units.
const maxRTT = earth.RTT(600e9)

// What a mesh and its measurements may be refused for.
var (
	ErrBeacons = errors.New("impossible number of beacons")
	ErrBeacon  = errors.New("beacon that is no place on Earth, or has no two-letter country")
	ErrRTT     = errors.New("impossible round trip")
)

// Beacon is a landmark with a known position.
type Beacon struct {
	Name    string
	At      earth.LatLon
	Country string // ISO 3166-1 alpha-2 of its site; empty to look it up in the atlas
}

// Mesh is a constellation and the round trips that its beacons measured with each other. It is immutable.
type Mesh struct {
	beacons []Beacon
	at      []vec
	country []uint16
	log     [][]float64 // model.LogRTT of each pair; NaN when it was not measured
	km      [][]float64
}

// NewMesh makes a mesh of beacons; rtt answers for each pair i > j, false when it was not measured.
func NewMesh(beacons []Beacon, rtt func(i, j int) (earth.RTT, bool)) (*Mesh, error) {
	n := len(beacons)
	if n == 0 || n > MaxBeacons {
		return nil, fmt.Errorf("%w: %d, must be 1 to %d", ErrBeacons, n, MaxBeacons)
	}
	m := &Mesh{beacons: append([]Beacon(nil), beacons...), at: make([]vec, n), country: make([]uint16, n),
		log: square(n), km: square(n)}
	for i, b := range beacons {
		if err := b.At.Validate(); err != nil {
			return nil, fmt.Errorf("%w: beacon %d %q: %w", ErrBeacon, i, b.Name, err)
		}
		if b.Country != "" && !isCountry(b.Country) {
			return nil, fmt.Errorf("%w: beacon %d %q: country %q", ErrBeacon, i, b.Name, b.Country)
		}
		m.at[i] = vecOf(b.At)
		m.country[i] = countries().site(b)
		m.log[i][i] = math.NaN()
		for j := range i {
			m.km[i][j] = km(m.at[i], m.at[j])
			m.km[j][i] = m.km[i][j]
			m.log[i][j] = math.NaN()
			if r, ok := rtt(i, j); ok {
				if r <= 0 || r > maxRTT {
					return nil, fmt.Errorf("%w: beacons %d and %d: %v, must be positive and at most ten minutes", ErrRTT, i, j, r)
				}
				m.log[i][j] = model.LogRTT(r)
			}
			m.log[j][i] = m.log[i][j]
		}
	}
	return m, nil
}

func isCountry(code string) bool {
	return len(code) == 2 && code[0] >= 'A' && code[0] <= 'Z' && code[1] >= 'A' && code[1] <= 'Z'
}

func square(n int) [][]float64 {
	rows, all := make([][]float64, n), make([]float64, n*n)
	for i := range rows {
		rows[i] = all[i*n : (i+1)*n : (i+1)*n]
	}
	return rows
}

// Len returns the number of beacons.
func (m *Mesh) Len() int { return len(m.beacons) }

// Beacon returns a beacon.
func (m *Mesh) Beacon(i int) Beacon { return m.beacons[i] }

// Only returns the mesh of some of the beacons, in the order given. It panics on an index out of range, as a slice does.
func (m *Mesh) Only(index []int) *Mesh {
	n := len(index)
	out := &Mesh{beacons: make([]Beacon, n), at: make([]vec, n), country: make([]uint16, n), log: square(n), km: square(n)}
	for a, i := range index {
		out.beacons[a], out.at[a], out.country[a] = m.beacons[i], m.at[i], m.country[i]
		for b, j := range index {
			out.log[a][b], out.km[a][b] = m.log[i][j], m.km[i][j]
		}
	}
	return out
}

// pairs returns the measured pairs of the mesh for a fit.
func (m *Mesh) pairs() []model.Pair {
	var out []model.Pair
	for i := range m.log {
		for j, l := range m.log[i][:i] {
			if !math.IsNaN(l) {
				out = append(out, model.Pair{Distance: model.Kilometres(m.km[i][j]), RTT: rttOf(l)})
			}
		}
	}
	return out
}

// rttOf is the inverse of model.LogRTT, to the nanosecond.
func rttOf(log float64) earth.RTT { return max(1, earth.RTT(math.Round(math.Expm1(log)*1e6))) }
