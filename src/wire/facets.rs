//! The JSON of `/v1/facets`.

use super::{Histogram, array, put, watermarks};
use crate::event::Catalogue;
use crate::index::FacetValue;
use crate::json::write_string;
use crate::query::FacetField;
use crate::store::watermarks::Marks;
use crate::store::{NamedCount, by_category};

/// One facet of an answer.
pub struct FacetAnswer {
    /// Which.
    pub field: FacetField,
    /// Its largest values.
    pub values: Vec<NamedCount>,
    /// All that were counted; the tree sums them.
    pub all: Vec<(FacetValue, u64)>,
    /// Entries that carry another value.
    pub others: u64,
}

/// `{"total","facets":{"actor":{"values":[…],"others"},"action":{"tree":[…],"others"}},"histogram","watermarks"}`
pub fn facets(
    total: u64,
    facets: &[FacetAnswer],
    histogram: Option<&Histogram>,
    catalogue: &Catalogue,
    marks: Marks,
) -> String {
    let mut out = format!("{{\"total\":{total},\"facets\":{{");
    for (index, facet) in facets.iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        put(&mut out, format_args!("\"{}\":{{", facet.field.as_str()));
        match facet.field {
            FacetField::Action => tree(&mut out, facet, catalogue),
            FacetField::Actor
            | FacetField::TargetType
            | FacetField::Tenant
            | FacetField::Outcome
            | FacetField::Source => {
                out.push_str("\"values\":");
                array(&mut out, &facet.values, |out, value| {
                    let label = value.label.as_deref().unwrap_or(&value.spelling);
                    value_of(out, &value.choice, label, value.count);
                });
            }
        }
        put(&mut out, format_args!(",\"others\":{}}}", facet.others));
    }
    out.push('}');
    if let Some(histogram) = histogram {
        out.push_str(",\"histogram\":");
        histogram.write(&mut out);
    }
    watermarks(&mut out, marks);
    out.push('}');
    out
}

fn tree(out: &mut String, facet: &FacetAnswer, catalogue: &Catalogue) {
    out.push_str("\"tree\":");
    array(out, &by_category(&facet.all, &facet.values, catalogue), |out, category| {
        let label = catalogue.category(&category.slug).map_or(&*category.slug, |category| &category.label);
        out.push_str("{\"value\":");
        write_string(&category.choice, out);
        out.push_str(",\"label\":");
        write_string(label, out);
        put(out, format_args!(",\"count\":{},\"actions\":", category.count));
        array(out, &category.actions, |out, (choice, action)| {
            let info = catalogue.action(&action.spelling);
            value_of(out, choice, info.map_or(action.spelling.as_str(), |info| &info.label), action.count);
        });
        let listed: u64 = category.actions.iter().map(|(_, action)| action.count).sum();
        put(out, format_args!(",\"others\":{}}}", category.count - listed));
    });
}

fn value_of(out: &mut String, choice: &str, label: &str, count: u64) {
    out.push_str("{\"value\":");
    write_string(choice, out);
    out.push_str(",\"label\":");
    write_string(label, out);
    put(out, format_args!(",\"count\":{count}}}"));
}
