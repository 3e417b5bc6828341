-- The narrow index: one line per annotated frame in the order of the shards: what the dashboard filters, sorts and counts by.
SELECT
    id, method, forgery, compression, split, pose, size, writer,
    confidence::FLOAT AS confidence, stability::FLOAT AS stability, mask_share::FLOAT AS mask_share,
    claims_supported, claims_contradicted, claims_untestable, claims_refused,
    list_transform(regions, lambda one: one.category_id::SMALLINT) AS regions,
    list_distinct(list_transform(
        list_filter(evidence, lambda one: one.significant), lambda one: one.kind || ': ' || one.direction
    )) AS evidence,
    file_index::INT AS shard, file_row_number::INT AS row
FROM rows
