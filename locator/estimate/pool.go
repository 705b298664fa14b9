package estimate

// The log-linear pool: the log posterior of a candidate is a weighted sum of features, four of the likelihood and nine of the
// prior, plus what is fixed (the area of a cell). Weights below one on the likelihood say that the model is surer than it should be.
type feature int

const (
	quickest  feature = iota // log likelihood of the three quickest beacons
	quick                    // of the next five
	middling                 // of the next eight
	remaining                // of the rest, given all before
	population
	crowded // log density of beacons within some 300 km
	taken   // log density of beacons within some 30 km: does another beacon's city make a place likelier, or is it taken?
	metro   // the candidate is a beacon's site
	town    // log share of the people within some 40 km
	region  // log share of the people within some 200 km
	capital
	seat // of a first-order division; -1 for a section of a larger place
	land // the candidate is a cell of land
	features
)

const likelihoods = population

var featureNames = [features]string{"quickest 3", "next 5", "next 8", "others", "population", "crowded", "taken", "metro", "town share",
	"region share", "capital", "seat", "land"}

// groupEnd is the rank at which each part of the likelihood ends.
var groupEnd = [likelihoods]int{3, 8, 16, used}

// pool holds one weight for each feature.
type pool [features]float64

// startPool is where the fit of the weights starts, and what it is drawn to where beacons are few, by poolSpread. The likelihood is
// taken at half its word near and at a fifth of it far; population counts as it stands. A prior, not a constant of the model: with
// a hundred beacons nothing of it is left.
var (
	startPool  = pool{quickest: 0.5, quick: 0.3, middling: 0.15, remaining: 0.2, population: 1, taken: -0.3, town: 0.3, capital: 0.7, seat: 0.2, land: -3}
	poolSpread = pool{quickest: 0.3, quick: 0.3, middling: 0.3, remaining: 0.3, population: 0.5, crowded: 0.4, taken: 0.7, metro: 1, town: 0.5,
		region: 0.4, capital: 0.7, seat: 0.5, land: 2}
)

// score is the candidate's log posterior but for a constant. share scales the likelihood's part.
func (p *pool) score(f *[features]float64, share float64) float64 {
	like, prior := 0.0, 0.0
	for i := range likelihoods {
		like += p[i] * f[i]
	}
	for i := likelihoods; i < features; i++ {
		prior += p[i] * f[i]
	}
	return share*like + prior
}
